/**
 * `npm run storm`: how long a client in good order waits while others are in none.
 */
import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Flags from "../src/cli/flags.ts"
import { run, saying } from "./command.ts"
import * as Storm from "./commands/storm.ts"
import * as Mixes from "./storm/mixes.ts"

Command.make("storm", {
  seconds: Flag.Finite("seconds").pipe(
    Flag.withDescription("How long all storms take together (default 60)"),
    Flag.filter((n) => n > 0 && n <= 3600, (n) => `more than 0 and at most 3600, not ${n}`),
    Flag.withDefault(60)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withDescription("What the garbage is made of (default 1)"),
    Flag.withDefault(1)
  ),
  mixes: Flag.String("mixes").pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(`Only these of ${Mixes.names.join(", ")}`),
    Flag.map((text) => text.split(",").map((name) => name.trim())),
    Flag.filter(
      (names) => names.every(Mixes.isMix),
      (names) => `none but ${Mixes.names.join(", ")}, not ${names.join(", ")}`
    ),
    Flag.map((names) => names.filter(Mixes.isMix)),
    Flag.withDefault(Mixes.names)
  )
}).pipe(
  Command.withHandler((plan) =>
    saying(
      Effect.flatMap(Storm.run(plan), (problems) =>
        problems.length === 0 ? Effect.void : Effect.fail(new Flags.Exited({ code: 1 })))
    )
  ),
  Command.withDescription("How long a client in good order waits while others are in none: ours and node:net by hand"),
  run
)
