"""Places that hold the files which a mount consists of: a directory, HDFS."""
