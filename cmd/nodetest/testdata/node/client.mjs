// Answers every command with its name, what came with it, and the environment.
import { createInterface } from 'node:readline';

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line);
  process.stdout.write(JSON.stringify({ command, args, environment: process.env }) + '\n');
}
