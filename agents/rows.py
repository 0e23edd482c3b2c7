from mesa.agent import AgentSet
class RowSet(AgentSet):
    def __init__(self, s): self.s=s
