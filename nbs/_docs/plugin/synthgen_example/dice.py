"""A world: tools that run, from a state that can be begun anew."""
from synthgen_nb.specs.tool import Tool
from synthgen_nb.worlds.world import Local, World, WorldKind

WORLD = WorldKind(name='dice', usage='dice, dice:SIDES', help='dice with so many sides', maker='open_dice', own_tools=True)


def open_dice(rest: str, tools, model) -> World:
    "What stands behind the colon, tools and a model at hand → the world"
    roll = Tool(name='roll', effect='read', description='Roll a die.', returns={'type': 'integer'})
    return Local('dice', [roll], {'roll': lambda env: int(rest or 6)}, lambda initial: None)
