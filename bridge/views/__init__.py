"""What a person is shown of a journal and of a running bridge: the same in a terminal and on the page."""
