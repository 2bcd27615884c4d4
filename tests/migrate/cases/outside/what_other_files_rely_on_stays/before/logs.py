import json
import logging

import speaking


class Lines(logging.Handler):
    def emit(self, record):
        print(json.dumps(record.args))


logging.getLogger().addHandler(Lines())
speaking.speak()
