// Where several pages say a word: how-tos and first steps before commands and tables, those before chapters, notebooks of the internals last
var PLACES = [[/^do\/group/, 2], [/^do\//, 14], [/^(start\/|index$)/, 5], [/^(project\/(faults|cluster)|lookup\/)/, 9], [/^(papers|records|commands\/)/, 6], [/^(qa|tools)\//, 3], [/^(project\/changelog|decisions)/, -4]];
var Scorer = {
  score: ([page, title, anchor, description, score, file, kind]) => {
    const place = PLACES.find(([where]) => where.test(page));
    return score + (place ? place[1] : 0) - (kind === "object" ? 4 : 0);
  },
  objNameMatch: 11, objPartialMatch: 2, objPrio: {0: 8, 1: 5, 2: -5}, objPrioDefault: 0, // names of functions
  title: 15, partialTitle: 7, term: 5, partialTerm: 1,
};
