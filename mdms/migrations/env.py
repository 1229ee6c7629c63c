"""What Alembic runs: the steps, inside the transaction that the caller has begun."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
