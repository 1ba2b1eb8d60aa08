"What a claim turns round of its source: in several languages, and both ways"
import pytest
from synthgen_nb.core.claims import claims
from synthgen_nb.core.questions import item_missing, part_missing, reply_wrong, shown
from synthgen_nb.core.support import Source, hold
from synthgen_nb.core.turned import contrast_differs, from_to_differs, names_swapped, only_differs, turned_round, value_turned
from synthgen_nb.core.wording import denied


def why(text, source, around=''):
    src = Source(source, around)
    return next((w for c in claims(text) if (w := hold(c, src).why)), '')


@pytest.mark.parametrize('source, wrong, right', [
    ('The oven sends no mail to guests, cooks or waiters.', 'The oven sends mail to guests, cooks and waiters.',
     'The oven sends no mail to waiters, cooks or guests.'),
    ("La trousse ne contient pas ciseaux, colle ou autre outil.", 'La trousse contient colle, ciseaux et un outil.',
     "La trousse ne contient ni ciseaux, ni colle, ni aucun autre outil."),
    ('Les clés de rechange sont omis du colis postal.', 'Les clés de rechange sont inclus dans le colis postal.',
     'Les clés de rechange ne sont pas inclus dans le colis postal.'),
    ('When the lid is open, then spare rows are omitted from the list.', 'Spare rows are included in the list when the lid is open.',
     'Spare rows are not included in the list when the lid is open.'),
    ('Grinding by hand is generally discouraged in this kitchen.', 'Grinding by hand is generally recommended in this kitchen.',
     'Grinding by hand is generally not recommended in this kitchen.'),
    ('`pot.open()` raises `LidError` in this mode.', '`pot.open()` returns a lid in this mode.', '`pot.open()` raises `LidError`.'),
    ('The scale takes REAL weights, not INTEGER weights.', 'The scale takes INTEGER weights rather than REAL weights.',
     'The scale takes REAL weights rather than INTEGER weights.'),
    ('El filtro funciona con cualquier jarra y no solo con jarras de vidrio.', 'El filtro funciona solo con jarras de vidrio.',
     'El filtro funciona con jarras de vidrio y otras.'),
    ('Die Lampe läuft mit jedem Akku und nicht nur mit Akkus von Nord.', 'Die Lampe läuft nur mit Akkus von Nord.', 'Die Lampe läuft mit Akkus von Nord.'),
    ('The list is sorted from oldest to newest.', 'The list is sorted from newest to oldest.', 'From oldest to newest the list is sorted.'),
    ('この鍋は毎日ふたを自動で洗います。', 'この鍋は毎日ふたを自動では洗いません。', 'この鍋は、ふたを毎日自動で洗います。'),
    ('If no size is given, the tray falls back to "MEDIUM". A tray can be "LARGE".', 'If no size is given, the tray falls back to "LARGE".',
     'The tray falls back to "MEDIUM" if no size is given.'),
    ('`ladle` is for soup, and `tongs` are for meat.', 'Use `tongs` for soup and `ladle` for meat.', 'Use `tongs` for meat and `ladle` for soup.'),
    ('Set the mask to `0755` for a shared folder, with 755 files at most.', 'Set the mask to `0775` for a shared folder.',
     'Set the mask to `0755` for a shared folder.')])
def test_a_sentence_that_is_turned_round_is_objected_to(source, wrong, right):
    assert why(wrong, source) and not why(right, source)
    assert not why(source, source)


@pytest.mark.parametrize('source, claim', [
    ('No error is returned for doubles, NOT NULL, and CHECK errors.', 'For doubles and NOT NULL errors, nothing is returned.'),
    ('The oven stops at once, not at the end of the hour as it would with a timer.', 'With a timer, the oven stops at the end of the hour.'),
    ('The user does not get the option to change the value by hand.', 'The user cannot change the value by hand.'),
    ('The oven will automatically clean its filter at night.', 'At night the oven runs an automatic clean of its filter.'),
    ('Without it, the lamp burns all night.', 'The lamp burns all night.'),
    ('Le robot souhaite garder les vis, mais ne désire pas effacer les plans.', 'Le robot souhaite garder les vis, mais laisser les plans.')])
def test_an_honest_sentence_is_left_alone(source, claim):
    assert not why(claim, source)


def test_a_negation_reaches_over_a_list_and_not_past_it():
    no, yes = denied('It holds no nails, screws or bolts, and burns well')
    assert {'nail', 'screw', 'bolt'} <= set(no) and 'burn' in yes
    assert 'null' in denied('the NOT NULL rule')[1] and 'cach' in denied('`--no-cache` is set')[1]
    assert set(denied('Das ist weder Holz noch Stein oder Glas')[0]) >= {'holz', 'stein', 'gla'}


@pytest.mark.parametrize('check, claim, source', [
    (contrast_differs, '鍵は新しいものではなく古いものを使います', '鍵は古いものではなく新しいものを使います'),
    (only_differs, 'Il marche seulement avec du gaz', 'Il marche avec du bois et pas seulement avec du gaz'),
    (from_to_differs, 'Von groß bis klein', 'von klein bis groß')])
def test_each_way_is_seen(check, claim, source):
    assert check(claim, source) and not check(source, source)


def test_names_and_values_of_two_places_are_left_alone():
    assert not value_turned('The lid of a jar defaults to `tin`.', ['The lid of a pot defaults to `steel`.', 'The lid of a jar defaults to `tin`.'])
    assert not names_swapped('`pan` and `pot` are for eggs and soup.', ['`pot` is for soup, and `pan` for eggs.'])
    assert not turned_round('Fuses blow.', ['The lamp can be dimmed.'])


def test_an_invented_half_is_found_and_a_paraphrase_is_not():
    source = 'The basic kit has every tool that a broken pump needs for its repair. Gloves are sold apart.'
    assert why('The basic kit has every tool that a pump needs for its repair, as well as breakfast vouchers and holiday insurance papers.', source)
    assert not why('The basic kit has every tool for the repair of a pump, and gloves are sold apart.', source)


@pytest.mark.parametrize('text', ['According to the documentation, it is two.', 'この表では、二つです。', 'Comme le montre le tableau, il y en a deux.',
                                  'Laut dieser Tabelle sind es zwei.', 'Según la tabla, son dos.'])
def test_an_answer_must_not_point_at_its_document(text):
    assert shown(text) and 'cannot see' in reply_wrong('What is there?', text, Source('There are two.'))


def test_a_table_of_the_subject_is_no_pointer():
    assert not shown('According to the tariff, a table costs two coins.') and not shown('The table has two rows.')


@pytest.mark.parametrize('question, source, wrong, right', [
    ('La pompe tourne-t-elle la nuit sans eau ?', 'La pompe ne tourne pas la nuit sans eau.', 'Oui.', 'Non.'),
    ('Läuft die Pumpe im Winter weiter ?', 'Die Pumpe läuft im Winter weiter.', 'Nein.', 'Ja.')])
def test_yes_and_no_are_known_in_other_languages(question, source, wrong, right):
    assert not reply_wrong(question, right, Source(source, question))


def test_all_of_them_are_spoken_of_and_short_keys_count():
    assert not part_missing('What do `get_lid` and `set_lid` take?', 'Both take one lid.')
    source = Source('The action is one of "NO ACTION", "WARN", "STOP" or "CLEAN".')
    ask = 'What are the actions?'
    assert item_missing(ask, 'The action is one of "NO ACTION", "WARN" or "CLEAN".', source)
    assert not item_missing(ask, 'The action is one of "NO ACTION", "WARN", "STOP" or "CLEAN".', source)


def test_a_small_number_that_is_a_code_is_no_count():
    source = 'A lost key ends with exit code 1. The drawer has 0 locks and 2 sides.'
    assert why('A lost key ends with exit code 1.', source) == ''
    assert why('A lost key ends with exit code 0.', source)


def test_what_another_does_may_be_denied():
    source = 'ふつうの鍋のふたの洗い方と違い、この鍋は毎日ふたも自動で洗います。'
    assert not turned_round('ふつうの鍋のふたは、毎日自動で洗いません。', [source])
    assert turned_round('ふつうの鍋のふたの洗い方と同じく、この鍋は毎日自動でふたを洗いません。', [source])
