"What an answer leaves out of its source: conditions, parts of a question, items; and what it exchanges"
import pytest

from synthgen_nb.core.evidence import looked_at
from synthgen_nb.core.records import Pair
from synthgen_nb.core.support import Source
from synthgen_nb.core.whole import asked_parts, conditions, count_wrong, left_out, runs


def why(question, answer, source):
    return '; '.join(left_out(question, answer, Source(source, question)))


@pytest.mark.parametrize('source, wrong, right', [
    ('Unless the valve is locked, the boiler refills its tank overnight.', 'The boiler refills its tank overnight.',
     'The boiler refills its tank overnight, but not while the valve is locked.'),
    ('The kiln cools slowly; if the fan is broken, it sounds a loud alarm.', 'It sounds a loud alarm.', 'With a broken fan it sounds a loud alarm.'),
    ('Wenn der Filter verstopft ist, schaltet die Pumpe in den Notbetrieb.', 'Die Pumpe schaltet in den Notbetrieb.',
     'Ist der Filter verstopft, so schaltet die Pumpe in den Notbetrieb.'),
    ("Si le filtre est bouché, la pompe passe en mode secours.", 'La pompe passe en mode secours.', 'Filtre bouché, la pompe passe en mode secours.'),
    ('If the bread is stale, the oven bakes it again. The oven bakes it again every Sunday.', '', 'The oven bakes it again.'),
    ('The oven checks if the bread is stale and rings the bell twice.', '', 'The oven rings the bell twice.')])
def test_a_condition_is_part_of_its_rule(source, wrong, right):
    assert not why('What does it do?', right, source)
    assert not wrong or 'condition' in why('What does it do?', wrong, source)


def test_a_condition_that_the_question_has_need_not_be_told_again():
    source = 'If the reserve bottle is empty, the boiler stops its circulation pump.'
    assert not why('What happens if the reserve bottle is empty?', 'The boiler stops its circulation pump.', source)
    assert 'condition' in why('What does the boiler do?', 'The boiler stops its circulation pump.', source)


def test_what_is_no_condition():
    assert not conditions('It tests whether the pot is hot.') and not conditions('It works even if the pot is cold.')
    assert conditions('鍋が熱い場合は、警報が鳴ります。') and conditions('如果锅很热，警报就会响。')


@pytest.mark.parametrize('question, wrong, right', [
    ('How many cups does the urn hold, and how long does it stay warm?', 'It holds 40 cups.', 'It holds 40 cups and stays warm for 3 hours.'),
    ('How many cups does the urn hold, and what happens when the tap leaks?', 'It holds 40 cups.', 'It holds 40 cups; a red float rises in the glass.'),
    ('Which command empties the urn and what does it do?', 'The command is `urn drain`.', 'The command is `urn drain`; it opens the lower tap.')])
def test_every_part_is_answered(question, wrong, right):
    source = 'The urn holds 40 cups. It stays warm for 3 hours. When the tap leaks, a red float rises in the glass. `urn drain` opens the lower tap.'
    assert why(question, wrong, source) and not why(question, right, source)
    assert len(asked_parts(question)) == 2


def test_lists_of_code_are_held_to_the_letter():
    source = 'The fields are `lid_size`, `lid_depth`, `rim` and `base`. It is heavy. It is old. A `handle` may be bought.'
    ask = 'Which fields are there?'
    assert why(ask, 'They are `lid_size`, `rim` and `base`.', source) == 'leaves out lid_depth'
    assert why(ask, 'They are `lid_size`, `lid_depth`, `handle`, `rim` and `base`.', source) == 'adds handle to a list'
    assert not why(ask, 'They are `rim`, `base`, `lid_depth` (in mm) and `lid_size`.', source)
    assert not why('What is `rim`?', '`rim` and `base` are fields, like `lid_size`.', source)
    assert [names for _, names in runs('the size (`n`), the rim (`m`), and `k` (see `z`) or `j`')] == [['n', 'm'], ['k', 'j']]


def test_a_number_is_that_of_its_list():
    assert count_wrong('There are four modes: `a`, `b` and `c`.') and not count_wrong('There are three modes: `a`, `b`, and `c`.')
    assert not count_wrong('There are three modes: `a`, `b`, and the usual one.')


def test_subjects_that_change_places():
    source = 'A ladle holds half a litre of soup. A whisk beats the eggs until stiff.'
    ask = 'What are ladle and whisk?'
    assert why(ask, 'A whisk holds half a litre of soup. A ladle beats the eggs until stiff.', source)
    assert not why(ask, 'A whisk beats the eggs until stiff. A ladle holds half a litre of soup.', source)


def test_the_examination_of_a_pair_asks_for_the_whole():
    p = Pair(question='How is the pot opened?', answer='The heavy lid rises slowly.', chunk_id='c')
    assert any('condition' in w for w in looked_at(p, 'When the steam valve is released, the heavy lid rises slowly.').objections)



@pytest.mark.parametrize("question", [
    "When saving and sharing arrays, what is the csv-filetype?", "Where a file is open, what happens?", "In a group, what is a link?",
    "Wenn die Datei offen ist, was passiert?", "Quand on ouvre un fichier, que se passe-t-il ?",
])  # fmt: skip
def test_a_setting_is_no_part(question):
    assert len(asked_parts(question)) == 1
    assert len(asked_parts("When does it close, how do I know?")) == 2 == len(asked_parts("What is a file, how is it opened?"))
