"""A checkpoint mount whose files are striped over many HDFS files."""
