"""The SCP side: the listener, its associations, and the services that it offers."""
