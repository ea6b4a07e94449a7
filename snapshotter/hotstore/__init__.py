"""Where hot records and packs are kept, and how they get there: registry, directory, HDFS."""
