import { rungs } from "../../support/rungs.ts"
import { lawsOf } from "./laws.ts"

// All rungs for the one that is over soonest; for the others those where nothing waits.
lawsOf("trust", "3.0", rungs)
