//! Tests that need network namespaces.

use crate::{
    command::Command,
    error::{Error, NoneRan, Result},
    steps::Done,
    tally::Tally,
    workspace::Workspace,
};

/// `true` if the integration test called `name` needs namespaces: the names of those that do begin
/// so.
pub(crate) fn is_live(name: &str) -> bool {
    name.starts_with("netns") || name.starts_with("live")
}

/// A run of the live tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    /// Only tests whose name contains this.
    pub(crate) filter: Option<String>,
    /// More for the test programs' command lines.
    pub(crate) arguments: Vec<String>,
    /// A test that lacks something fails.
    pub(crate) required: bool,
    /// The number of moments that tests of random moments try, if not a few.
    pub(crate) moments: Option<u32>,
}

impl Live {
    /// Builds the tests, moves into a user namespace unless this is root, and runs them there. This
    /// process has no way back, so this is the last that needs the network or other users' files.
    pub(crate) fn run(&self, workspace: &Workspace, tally: &mut Tally) -> Result<Done> {
        // Optimized, since they move and hash a lot; this is also the build that people use.
        Command::cargo("build --release --package ringtap").run()?;
        self.command(workspace).words("--no-run").run()?;
        netns::enter_user_namespace()?;

        let mut command = self
            .command(workspace)
            .variable("RINGTAP_COMMAND", workspace.target.join("release/ringtap"))
            .words("--")
            .words(self.filter.as_deref().unwrap_or_default());
        for argument in &self.arguments {
            command = command.argument(argument);
        }
        if self.required {
            command = command.variable("RINGTAP_REQUIRE_LIVE", "1");
        }
        if let Some(moments) = self.moments {
            command = command.variable("RINGTAP_MOMENTS", moments.to_string());
        }
        command.count_tests(tally)?;
        match (tally.ran(), tally.ignored) {
            (0, 0) => Err(Error::NoneRan(NoneRan::Filtered)),
            (0, _) => Err(Error::NoneRan(NoneRan::Skipped)),
            _ => Ok(Done::Tests(*tally)),
        }
    }

    /// The same, but no failure where the kernel forbids namespaces.
    pub(crate) fn run_where_allowed(
        &self,
        workspace: &Workspace,
        tally: &mut Tally,
    ) -> Result<Done> {
        match self.run(workspace, tally) {
            Err(Error::Namespace(error @ netns::Error::Forbidden { .. })) => {
                Ok(Done::Skipped(error.to_string()))
            }
            result => result,
        }
    }

    fn command(&self, workspace: &Workspace) -> Command {
        let names = workspace.integration_tests(is_live);
        let command = Command::cargo("test --release --workspace --all-features --no-fail-fast");
        names.into_iter().fold(command, |command, name| command.words("--test").argument(name))
    }
}
