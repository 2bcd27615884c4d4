# -*- coding: latin-1 -*-
"""Döc."""

import tempfile   # ä
import os

def main( ):
	# before
	with tempfile.TemporaryDirectory()  as d :  # on it ü

		print( d )   # in it
	# after
	return os
