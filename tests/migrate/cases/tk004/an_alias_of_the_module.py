import tempfile as tf


def main():
    with tf.TemporaryDirectory() as d:
        print(d)
