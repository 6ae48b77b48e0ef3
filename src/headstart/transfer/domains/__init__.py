"""Domain adaptation and instance transfer: what is known of one domain answers for another."""
