"""Pictures: untrusted bytes to clean RGB, tensors, writing, colours, recipes and films.

Must not know the network, jobs or the page.
"""
