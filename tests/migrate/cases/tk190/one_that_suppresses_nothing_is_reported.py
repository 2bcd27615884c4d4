# case: left TK190:4 suppresses nothing of TK004
import tempfile

X = 1  # tempkeep: keep TK004 it was needed once
print(X, tempfile)
