"What a table says is bound to its row and its column"
import pytest
from synthgen_nb.core.cells import members, tables_in, unmarked
from synthgen_nb.core.claims import claims, segments
from synthgen_nb.core.support import Source, hold

KETTLES = '''## Modes of the kettle

| mode | heats to | keeps warm? | beeps |
|---|---|---|---|
| `eco` | 80 °C | No | once |
| `tea` | 95 °C | Yes | twice |
| `boil` | 100 °C | No | `--loud` only |

| `steep` | `lid` | Open | Shut |
|---|---|---|---|
| `True` | `True` | `a` | `b` |
| `True` | `False` | `c` | `d` |
| `False` | `True` | `b` | `a` |

| 信号 | 意味 |
|---|---|
| `赤` | 加熱中の水が少ない |
| `青` | 保温の時間が終わった |

Les témoins :

- `rouge` : le réservoir est vide et la pompe tourne
- `vert` : la cuve est chaude, le filtre est propre

Kessel
:   Behälter für heißes Wasser

Filter
:   Sieb gegen groben Kalk
'''


def why(text, around=''):
    src = Source(KETTLES, around)
    return next((w for c in claims(text) if (w := hold(c, src).why)), '')


@pytest.mark.parametrize('wrong, right', [
    ('The `eco` mode heats to 95 °C.', 'The `eco` mode heats to 80 °C.'),
    ('`tea` beeps once.', '`tea` beeps twice.'),
    ('In the `boil` mode the kettle keeps warm.', 'In the `boil` mode the kettle does not keep warm.'),
    ('`tea` does not keep the water warm.', '`tea` keeps the water warm.'),
    ('With `steep=True` and `lid=False`, it is `d` when open.', 'With `steep=True` and `lid=False`, it is `c` when open and `d` when shut.'),
    ('With `steep=False`, it is `b` when shut.', 'With `steep=False`, it is `a` when shut.'),
    ('`赤` は、保温の時間が終わったことを示します。', '`赤` は、加熱中の水が少ないことを示します。'),
    ('`rouge` : la cuve est chaude et le filtre est propre.', '`rouge` : le réservoir est vide, et la pompe tourne.'),
    ('Der Kessel ist ein Sieb gegen groben Kalk.', 'Der Kessel ist ein Behälter für heißes Wasser.')])
def test_a_value_is_that_of_its_row_and_column(wrong, right):
    assert why(wrong) and not why(right)


def test_the_row_may_be_named_by_the_question():
    assert why('It beeps twice.', 'How often does the kettle beep in the `eco` mode?')
    assert not why('It beeps once.', 'How often does the kettle beep in the `eco` mode?')
    assert not why('It beeps once.', 'How often does the kettle beep?')


def test_what_is_said_of_two_rows_or_denied_is_left_alone():
    assert not why('`eco` and `tea` heat to 80 °C and 95 °C.')
    assert not why('The `eco` mode beeps once, not twice.')
    assert not why('Every mode beeps.')


def test_evidence_is_the_row_and_never_the_header():
    src = Source(KETTLES)
    f = hold(claims('The `tea` mode heats to 95 °C.')[0], src)
    assert KETTLES[f.start:f.end].startswith('| `tea`')
    g = hold(claims('A mode heats, keeps warm and beeps.')[0], src)
    assert not KETTLES[g.start:g.end].startswith('| mode')


def test_cells_are_read_without_their_marks():
    assert unmarked('`` a|b ``') == 'a|b' and unmarked('**INT**<br>`TINY`') == 'INT\nTINY'
    assert set(members('`[1, 2]` or `(1, 2)`')) >= {'[1, 2]', '(1, 2)'}
    assert len(tables_in(KETTLES, segments(KETTLES))) == 5


def test_a_column_that_may_have_either_value_names_no_row():
    assert not why('It is the key where `steep` is `True` or `False`.')
