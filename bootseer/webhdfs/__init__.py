"""WebHDFS: addresses, calls and answers, for whoever keeps things in HDFS."""
