# -*- coding: latin-1 -*-
"""Döc."""

import os

from common.temp import temp_working_dir

def main( ):
	# before
	with temp_working_dir("module")  as d :  # on it ü

		print( d )   # in it
	# after
	return os
