// Asks Node what a pattern means. It reads lines of JSON {"pattern","inputs"} and answers each
// with {"accepted","matches"}: one letter per input, y or n, or e where Node itself gives up
// or takes too long.
import { createInterface } from "node:readline";
import { createContext, Script } from "node:vm";

// A script can be stopped, a call cannot.
const context = createContext({ re: /./, inputs: [], answers: [] });
const test = new Script("for (const input of inputs) answers.push(re.test(input) ? 'y' : 'n')");

function ask({ pattern, inputs }) {
  try {
    context.re = new RegExp(pattern);
  } catch {
    return { accepted: false, matches: "" };
  }
  context.answers = [];
  while (context.answers.length < inputs.length) {
    context.inputs = inputs.slice(context.answers.length);
    try {
      test.runInContext(context, { timeout: 100 });
    } catch {
      context.answers.push("e");
    }
  }
  return { accepted: true, matches: context.answers.join("") };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(ask(JSON.parse(line))) + "\n");
}
