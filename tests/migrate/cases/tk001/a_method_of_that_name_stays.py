# case: options TK001
class Job:
    def get_temp_dir(self, prefix):
        return prefix

    def run(self):
        return self.get_temp_dir("report")


print(Job().get_temp_dir("x"))
