"""Dramatiq on Redis or RabbitMQ: queues, messages, heartbeats and dead letters."""
