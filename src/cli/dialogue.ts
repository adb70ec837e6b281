/**
 * `dialogue`: what can be known of a dialogue without running it.
 *
 * @internal
 */
import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as DialogueFlags from "./dialogueFlags.ts"

const formats = ["outline", "mermaid", "svg", "markdown", "json"] as const

const compared = (name: string, description: string) =>
  Argument.String(name).pipe(
    Argument.withMetavar(name),
    Argument.withDescription(`${description}: MODULE or MODULE#NAME, or a snapshot in a file that ends in .json`)
  )

const compare = Command.make(
  "compare",
  { older: compared("OLD", "The older version"), newer: compared("NEW", "The newer one") },
  ({ newer, older }) =>
    Effect.flatMap(Effect.promise(() => import("./dialoguing.ts")), ({ compare }) => compare(older, newer))
).pipe(
  Command.withShortDescription("Whether clients and servers of two versions of a dialogue understand each other"),
  Command.withDescription(
    "Tell whether a client of the older version understands a server of the newer one, and the other way round. " +
      "Exit code: 0 they do, 1 they do not, 64 wrong usage, 66 a file cannot be used"
  ),
  Command.withExamples([
    {
      command: "effect-handshake dialogue compare released.json src/Vault.ts",
      description: "What a release has kept as JSON, with what is there now"
    }
  ])
)

export const dialogue = Command.make(
  "dialogue",
  {
    module: DialogueFlags.module,
    format: Flag.Literals("format", formats).pipe(
      Flag.withDescription(
        "outline for the terminal, mermaid for a diagram, svg for a picture of it, markdown for a document to hand " +
          "over, json for a snapshot to keep (default outline)"
      ),
      Flag.withDefault("outline")
    )
  },
  ({ format, module }) =>
    Effect.flatMap(Effect.promise(() => import("./dialoguing.ts")), ({ show }) => show(module, format))
).pipe(
  Command.withSubcommands([compare]),
  Command.withShortDescription("Print what is written down as a dialogue, or compare two versions of it"),
  Command.withDescription(
    "Print the dialogue that a module exports. Exit code: 0, 64 wrong usage, 66 a file cannot be used"
  ),
  Command.withExamples([
    { command: "effect-handshake dialogue src/Vault.ts", description: "Its states" },
    { command: "effect-handshake dialogue src/Vault.ts#Vault --format markdown", description: "Its document" },
    { command: "effect-handshake dialogue src/Vault.ts --format json > vault.json", description: "Its snapshot" }
  ])
)
