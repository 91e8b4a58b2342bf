"""What other servers want of an artifact, written beside a link to its weights.

`graph` is OpenVINO Model Server's description of one model, `settings` what stands in it,
`repository` the folder of several models in versions, and `kserve` the manifest for a cluster.
"""
