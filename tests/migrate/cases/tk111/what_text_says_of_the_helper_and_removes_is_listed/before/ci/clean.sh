# case: left TK111:3 removes .tmp by hand
ls .tmp
rm -rf "$ROOT/.tmp"
rm -rf build \
    dist .tmp  # over two lines
rm -rf build \
    dist
echo .tmp
