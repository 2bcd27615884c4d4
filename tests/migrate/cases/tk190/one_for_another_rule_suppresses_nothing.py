# case: left TK190:5 suppresses nothing of TK001
# case: left TK104:5 nobody removes
import tempfile

WORK = tempfile.mkdtemp()  # tempkeep: keep TK001 the wrong one
print(WORK)
