"""A method: records and a model in, an `Outcome` out."""
from collections.abc import Sequence

from synthgen_nb.core.methods import Method
from synthgen_nb.core.models import Model
from synthgen_nb.core.records import Outcome, Pair, drop

METHOD = Method(
    name='shorten', title='Shorten', faithful='heuristic', claim='Answers in at most so many words.',
    takes='pairs', stage='rewrite', command='shorten', step='shorten',
    options={'max_words': 'Most words of an answer.'},
    replies={'shorten': 'synthgen_example.shorten:offline_reply'})


async def shorten(
    pairs: Sequence[Pair], # with long answers
    model: Model,          # who shortens
    max_words: int = 5,    # of an answer
) -> Outcome[Pair]:
    "Short answers"
    p, out = model.prompt('shorten'), Outcome[Pair]()
    async for x, a in model.over(pairs, lambda x: p.render(answer=x.answer, max_words=max_words)):
        if not a.ok: out.dropped.append(drop(x, 'shorten', 'no_reply', a.error))
        else: out.kept.append(x.but(answer=a.value['answer'], origin=(*x.origin, p.origin('shorten', a))))
    return out.check(len(pairs))


def offline_reply(answer: str, max_words: int) -> dict:
    "What the embedded model says to the prompt `shorten`"
    return dict(answer=' '.join(answer.split()[:max_words]))
