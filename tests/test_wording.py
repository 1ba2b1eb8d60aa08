"What differs between two clauses that are worded almost alike"
import pytest
from synthgen_nb.core.wording import Neighbours, clauses, differs, words_in

NONE = Neighbours(set(), set())


@pytest.mark.parametrize('source, claim', [
    ('The lamp can be dimmed at night.', 'The lamp cannot be dimmed at night.'),
    ('The lamp is not dimmed at night.', 'The lamp is dimmed at night.'),
    ('The fuse is checked before the lamp.', 'The fuse is checked after the lamp.'),
    ('The largest lamp burns longest.', 'The smallest lamp burns longest.'),
    ('The porch label must hold a code.', 'The porch label may hold a code.'),
    ('A porch lamp is brighter than a street lantern.', 'A street lantern is brighter than a porch lamp.')])
def test_a_word_turns_it_round(source, claim):
    assert differs(claim, [source], NONE)
    assert differs(source, [source], NONE) == differs(claim, [claim], NONE) == ''


@pytest.mark.parametrize('claim', ['At night the lamp can be dimmed.', 'One may dim a lamp in the evening.', 'Fuses blow.'])
def test_paraphrase_is_left_alone(claim):
    assert differs(claim, ['The lamp can be dimmed at night.'], NONE) == ''


def test_words_stand_where_they_say():
    text = "The lamp_level can't be 3,5"
    assert all(text[w.start:].lower().startswith(w.text[:2]) for w in words_in(text))
    assert len(clauses('It is on, and it burns; it is hot.')) == 3
