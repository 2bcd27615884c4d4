"""Tasks of cards."""
import os

import invoke


@invoke.task(name="import")
def import_card(c, card, library):
    """Import a card into a library."""
    c.run(
        "python -c 'import sys; from cards.importing import import_card; import_card(*sys.argv[1:])'"
        " '%s' '%s'" % (card, library),
        env={"PYTHONPATH": os.path.join(os.path.dirname(os.path.abspath(__file__)), "src")},
    )
