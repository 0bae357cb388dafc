"""Dramatiq over Redis or RabbitMQ: queues, messages, heartbeats, dead letters."""
