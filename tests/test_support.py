"A claim against its source: facts and near wording, and nothing against what the source says itself"
import json
import pytest
from synthgen_nb.core.claims import segments
from synthgen_nb.core.questions import question_wrong, reply_wrong
from synthgen_nb.core.support import Source, unsupported

LAMP = '''# Lamps

A lamp burns for 40 hours at 5 °C and needs 12 V. The driver is loaded before the bus is scanned.
Since version 1.4.2 `dim_level` may be set; a lamp cannot be dimmed while it charges.

```python
lamp = open_lamp('porch', level=3, slow=True)
```'''


@pytest.mark.parametrize('answer', [
    'A lamp burns for 50 hours.', 'A lamp needs 12 W.', 'Since version 1.5.2 `dim_level` may be set.', 'Set `dim_rate`.',
    'The driver is loaded after the bus is scanned.', 'A lamp can be dimmed while it charges.',
    "```python\nlamp = open_lamp('porch', level=4, slow=True)\n```", 'See https://lamps.invalid/x.'])
def test_a_false_claim_is_objected_to(answer):
    assert unsupported(answer, Source(LAMP, 'How do lamps work?'))


@pytest.mark.parametrize('text', [
    LAMP, '缓存是64兆。块不能改变大小。每个文件有三个组。', "La cache contient 1 024 octets. Elle ne peut pas grandir. Il faut 3,5 heures.",
    'Der Puffer fasst 3,5 MB. Er kann nicht wachsen.', 'Буфер хранит 1 024 байта. Он не может расти.', 'המטמון מכיל 64 MB. הוא לא גדל.'])
def test_what_a_source_says_is_never_objected_to(text):
    src = Source(text)
    for s in segments(text):
        said = f'```\n{s.text}\n```' if s.kind == 'code' else s.text
        assert unsupported(said, src) == []


@pytest.mark.parametrize('text', ['', ' ', '\ud800 x', '\x00\x85', '`', '([{' * 200])
def test_nothing_raises(text):
    assert isinstance(unsupported(text, Source(text)), list)
    assert isinstance(reply_wrong('What are they?', text, Source(text)), str)


def test_the_shared_faulty_pairs_are_caught_without_a_model(data):
    for r in json.loads((data / "faulty" / "qa.json").read_text()):
        text = (data / r["file"]).read_text()
        src = Source(text, r["question"])
        assert unsupported(r["answer"], src) or question_wrong(r["question"], Source(text)) \
            or reply_wrong(r["question"], r["answer"], src), r["question"]
