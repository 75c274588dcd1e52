"""PostgreSQL: the pool, the migrations, the views, the key ring, the private server."""
