"Facts: found wherever they hide, at the place where they say they stand"
import pytest
from hypothesis import given, strategies as st
from synthgen_nb.core.facts import facts, fold, number_facts, sums


@pytest.mark.parametrize('text, value, unit', [
    ('64MB', 64, 'MB'), ('64 megabytes', 64, 'MB'), ('缓存是64兆的', 64, 'MB'), ('６４ MiB', 64, 'MiB'), ('1,024 KiB', 1024, 'KiB'),
    ('7%', 7, '%'), ('-5 °C', -5, 'degC'), ('0x10', 16, ''), ('2.50', 2.5, ''), ('10:3 s', 10, '')])
def test_a_number_has_a_value_and_a_unit(text, value, unit):
    first = number_facts(text)[0]
    assert (first.value, first.unit) == (value, unit)


@pytest.mark.parametrize('text', ['h5py', 'float64', 'the 33rd', 'utf_8'])
def test_a_number_inside_a_word_is_none(text):
    assert not number_facts(text)


@given(st.text(alphabet='ab1 ._-/`"=()兆６\n—', max_size=80) | st.text(max_size=80))
def test_every_fact_stands_at_its_place(text):
    assert len(fold(text)) == len(text)
    for f in facts(text):
        assert f.text.strip() in fold(text)[max(0, f.start - 1):f.end + 1]


def test_sums_are_bounded():
    assert list(sums('2**31-1 and 64*1024, 9**99999, 1/0')) == [2**31 - 1, 65536]


@pytest.mark.parametrize('piece', ['a.', '-a', '1+', 'a/', 'a_', '`a ', '```\n'])
def test_long_text_is_read(piece):
    assert isinstance(facts(piece * 20_000), list)
