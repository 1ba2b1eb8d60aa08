"Claims are spans of their text"
from itertools import pairwise
import pytest
from hypothesis import given, strategies as st
from synthgen_nb.core.claims import claims, segments


@given(st.text(alphabet='aB. \n-*`1)|#>!。块', max_size=120) | st.text(max_size=80))
def test_a_claim_is_a_span(text):
    for cut in (claims, segments):
        found = cut(text)
        assert all(text[c.start:c.end] == c.text for c in found)
        assert all(a.end <= b.start for a, b in pairwise(found))


@pytest.mark.parametrize('text, kinds', [
    ('One. Two.', ['sentence', 'sentence']), ('Use e.g. Gzip here.', ['sentence']), ('- a\n- b', ['item', 'item']),
    ('```\nx = 1\n```', ['code']), ('>>> x', ['code']), ('# Head\nText.', ['heading', 'sentence']),
    ('| a | b |\n|---|---|\n| c | d |', ['row', 'row']), ('这是一。那是二。', ['sentence', 'sentence']), ('', [])])
def test_kinds(text, kinds):
    assert [c.kind for c in claims(text)] == kinds


@pytest.mark.parametrize('text, cut', [
    ('これは端末です。`apt` は端末で使います。', ['これは端末です。', '`apt` は端末で使います。']),
    ('パターン `*` は `.` で始まらない名前にマッチします。次です。', ['パターン `*` は `.` で始まらない名前にマッチします。', '次です。']),
    ('**重要です。**次に進みます。', ['**重要です。', '次に進みます。']), ('第一。**第二**的内容。', ['第一。', '**第二**的内容。']),
    ('json_set() does both. json_insert() does one.', ['json_set() does both.', 'json_insert() does one.']),
    ('See **this.** Then go.', ['See **this.', 'Then go.']), ('He said "yes." "No," she said.', ['He said "yes.', '"No," she said.']),
    ('Use `a.` or `b`. Then c.', ['Use `a.` or `b`.', 'Then c.'])])
def test_a_mark_goes_to_the_sentence_that_it_opens(text, cut):
    assert [c.text for c in claims(text)] == cut
