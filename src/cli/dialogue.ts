/**
 * `dialogue`: what can be known of a dialogue without running it.
 *
 * @internal
 */
import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as DialogueFlags from "./dialogueFlags.ts"

const formats = ["outline", "mermaid", "markdown", "json"] as const

export const dialogue = Command.make(
  "dialogue",
  {
    module: DialogueFlags.module,
    format: Flag.Literals("format", formats).pipe(
      Flag.withDescription(
        "outline for the terminal, mermaid for a diagram, markdown for a document to hand over, json for a snapshot " +
          "to keep (default outline)"
      ),
      Flag.withDefault("outline")
    )
  },
  ({ format, module }) =>
    Effect.flatMap(Effect.promise(() => import("./dialoguing.ts")), ({ show }) => show(module, format))
).pipe(
  Command.withShortDescription("Print what is written down as a dialogue"),
  Command.withDescription(
    "Print the dialogue that a module exports. Exit code: 0, 64 wrong usage, 66 a file cannot be used"
  ),
  Command.withExamples([
    { command: "effect-handshake dialogue src/Vault.ts", description: "Its states" },
    { command: "effect-handshake dialogue src/Vault.ts#Vault --format markdown", description: "Its document" },
    { command: "effect-handshake dialogue src/Vault.ts --format json > vault.json", description: "Its snapshot" }
  ])
)
