"""deepd inside agent frameworks; nothing here is loaded before it is asked for.

`deepd.integrations.pydantic_ai` has `create_deep_agent`, `DeepAgentDeps`, `DeepdWorkspace`,
`DeepdApprovals`, and what they are made of.
"""
