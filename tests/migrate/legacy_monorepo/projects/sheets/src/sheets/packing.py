"""Packs sheets into zip files for the clients."""

import subprocess
import sys
import tempfile as tf
import zipfile
from tempfile import TemporaryDirectory as TD

from sheets.joining import make_contact_sheet


def pack(photos, target):
	"""Write a zip file with a sheet of `photos` and a list of them to `target`."""
	with tf.TemporaryDirectory() as folder:
		# the sheet
		make_contact_sheet(photos, f'{folder}/sheet.png', tile=50)

		# the list
		with open('{}/photos.txt'.format(folder), 'w') as listing:
			listing.writelines('%s\n' % photo for photo in photos)

		with zipfile.ZipFile(target, 'w') as packed:
			for name in ('photos.txt', 'sheet.png'):
				packed.write('%s/%s' % (folder, name), name)
	return target


def unpacked_size(archive):
	"""How many bytes `archive` takes when it is unpacked, by unpacking it."""
	with TD() as d, zipfile.ZipFile(archive) as packed:
		code = 'import os, sys; print(sum(os.path.getsize(name) for name in os.listdir(".")))'
		subprocess.run([sys.executable, '-m', 'zipfile', '-e', archive, d], check=True)
		return int(subprocess.check_output([sys.executable, '-c', code], cwd=d))


def names_in(archive):
	"""What lies in `archive`."""
	with TD() as d:
		with zipfile.ZipFile(archive) as packed:
			packed.extractall(d)
		return sorted(name for name in __import__('os').listdir(d) if not name.startswith(d))
