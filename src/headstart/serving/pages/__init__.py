"""The pages for people: try it, studio, review, monitor. Server-rendered, with a little plain JavaScript.

`blueprint` is what the application registers; everything it shows works without scripts, too.
"""

from headstart.serving.pages import login as login
from headstart.serving.pages import monitor as monitor
from headstart.serving.pages import review as review
from headstart.serving.pages import studio as studio
from headstart.serving.pages import try_it as try_it
from headstart.serving.pages.base import blueprint as blueprint
