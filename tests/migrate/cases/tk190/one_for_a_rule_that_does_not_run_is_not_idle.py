# case: options TK004 TK190
import tempfile

WORK = tempfile.mkdtemp()  # tempkeep: keep TK104 nobody else looks
