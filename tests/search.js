// The site's own search, without a page: node tests/search.js SITE < queries as JSON
const fs = require("fs"), vm = require("vm"), site = process.argv[2];
const store = {}, none = { addEventListener() {}, getElementById: () => null, documentElement: { dataset: {} }, createElement: () => none, head: { appendChild() {} } };
const context = vm.createContext({ console, document: none, window: {}, localStorage: { setItem() {}, getItem: () => null, removeItem() {} },
  SPHINX_HIGHLIGHT_ENABLED: false, _ready() {}, _: (s) => s, DOCUMENTATION_OPTIONS: {}, Documentation: { gettext: (s) => s, ngettext: (s) => s }, URLSearchParams, URL });
context.window = context;
for (const file of ["_static/language_data.js", "_static/searchtools.js"]) vm.runInContext(fs.readFileSync(`${site}/${file}`, "utf8"), context);
vm.runInContext("globalThis.Search = Search", context);
vm.runInContext(fs.readFileSync(`${site}/searchindex.js`, "utf8").replace("Search.setIndex", "Search._index = "), context);
const found = {};
for (const q of JSON.parse(fs.readFileSync(0, "utf8"))) {
  const [query, terms, excluded, highlight, objects] = vm.runInContext("Search", context)._parseQuery(q);
  found[q] = vm.runInContext("Search", context)._performSearch(query, terms, excluded, highlight, objects).reverse().slice(0, 10).map((r) => [r[0] + r[2], r[4]]);
}
console.log(JSON.stringify(found));
