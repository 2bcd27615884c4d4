# case: left TK104:4 nobody removes
import tempfile

WORK = tempfile.mkdtemp(), "# tempkeep: keep TK104 no comment"
