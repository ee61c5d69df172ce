"""The clinic: why a policy gradient that runs does not learn, or learns less than it could.

probe.probe("my_module:advantages")     holds a function of the user's to the definition, and names the fault
"""
