# case: left TK111:3 removes .tmp by hand
ls .tmp
rm -rf "$ROOT/.tmp"
