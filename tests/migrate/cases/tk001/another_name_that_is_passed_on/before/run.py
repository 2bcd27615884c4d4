from app import tools
from app.tools import gtd

OUT = gtd("run")
MORE = tools.gtd("more")
