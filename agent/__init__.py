"""The agent: the target's own part. It holds the cutover lock, keeps the journal and commands the proxy.

Standard library alone: it runs in the proxy's image. It imports nothing of build/; build/ may import agent.protocol.
"""
