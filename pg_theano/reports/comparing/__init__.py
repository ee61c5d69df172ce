"""What `pg_theano.compare` is made of: reading and grouping runs, their scales, the table and the figure."""
