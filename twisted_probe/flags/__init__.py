"""What can be said of an address offline: disposable, role account, free provider, mistyped."""
