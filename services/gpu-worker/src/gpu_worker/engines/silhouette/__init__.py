"""silhouette-v1: one photo → a round, textured, closed mesh, on a CPU and without weights.

The object's outline is found (photo, foreground), framed (frame), filled with triangles (triangulation), blown up like a
balloon (inflation), closed and painted (solid, texture), and written (model_file, preview); engine tells the story.
"""
