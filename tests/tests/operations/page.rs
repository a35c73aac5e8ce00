//! The page, and its commands as whoever reads it types them.

use std::collections::VecDeque;

use tests::transcript::{said, squeezed};

use crate::shop::{Process, Shop};

/// What a command begins with.
const PROGRAMS: [&str; 5] = ["shop", "./shop", "extensions", "curl", "kill"];

pub(crate) struct Page(String);

/// What stands between two fences, and the answer after it, if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    language: String,
    text: String,
    answer: Option<String>,
}

impl Block {
    fn has_commands(&self) -> bool {
        ["sh", "crontab"].contains(&&*self.language)
    }
}

/// A heading, the blocks below it, and the prose around them.
#[derive(Debug, Default)]
struct Part {
    heading: String,
    blocks: Vec<Block>,
    prose: String,
}

impl Page {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        Self(std::fs::read_to_string(path).unwrap())
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::default()];
        let mut lines = self.0.lines();
        while let Some(line) = lines.next() {
            let part = parts.last_mut().unwrap();
            if let Some(language) = line.strip_prefix("```") {
                let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
                part.add(language, text.join("\n"));
            } else if let Some(heading) = line.strip_prefix("# ") {
                parts.push(Part { heading: heading.to_owned(), ..Part::default() });
            } else {
                part.prose.push_str(line);
                part.prose.push('\n');
            }
        }
        parts
    }

    pub(crate) fn sections_with_commands(&self) -> Vec<String> {
        let parts = self.parts().into_iter();
        parts.filter(|part| part.blocks.iter().any(Block::has_commands)).map(|part| part.heading).collect()
    }

    /// Commands between back-ticks, which nothing would run.
    pub(crate) fn commands_in_prose(&self) -> Vec<String> {
        let prose: String = self.parts().into_iter().map(|part| part.prose).collect();
        let spans = prose.split('`').skip(1).step_by(2);
        let is_command =
            |span: &&str| span.split_once(' ').is_some_and(|(first, _)| PROGRAMS.contains(&first));
        spans.filter(is_command).map(str::to_owned).collect()
    }

    /// The configuration that the whole page supposes.
    pub(crate) fn configuration(&self) -> String {
        let intro = self.parts().swap_remove(0);
        intro.blocks.into_iter().filter(|block| block.language == "toml").map(|block| block.text).collect()
    }

    pub(crate) fn section(&self, heading: &str, shop: Shop) -> Section {
        let part = self.parts().into_iter().find(|part| part.heading == heading);
        let part = part.unwrap_or_else(|| panic!("the page has no section `{heading}`"));
        let folder = shop.folder().to_str().unwrap().to_owned();
        let meanings = vec![
            ("/srv/shop".to_owned(), folder),
            ("0.1.0".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        Section { shop, heading: part.heading, blocks: part.blocks.into(), last: None, meanings }
    }
}

impl Part {
    fn add(&mut self, language: &str, text: String) {
        match language {
            "text" => {
                let asked = self.blocks.last_mut();
                let asked = asked.filter(|block| block.has_commands() && block.answer.is_none());
                let Some(asked) = asked else { panic!("no command answers with this: {text}") };
                asked.answer = Some(text);
            }
            "sh" | "crontab" | "toml" => {
                self.blocks.push(Block { language: language.to_owned(), text, answer: None });
            }
            other => panic!("no test knows what to do with blocks of `{other}`"),
        }
    }
}

/// A section, whose commands are run one block after the other.
pub(crate) struct Section {
    pub(crate) shop: Shop,
    heading: String,
    blocks: VecDeque<Block>,
    last: Option<Block>,
    meanings: Vec<(String, String)>,
}

impl Section {
    /// What an example of the page is here.
    pub(crate) fn means(&mut self, example: &str, here: &str) {
        self.meanings.push((example.to_owned(), here.to_owned()));
    }

    /// Runs the next block to its end, which must be a good one, and compares what it says with what the page says that it does.
    pub(crate) async fn run(&mut self) -> String {
        let block = self.next("sh");
        let commands = self.shop.console().own(&self.here(&block.text));
        let output = self.shop.shell(&commands).await;
        let said = said(&output);
        assert!(output.status.success(), "{commands}\n{said}{}", output.status);
        if let Some(answer) = &block.answer {
            let answer = self.here(answer).replace("web-1", &self.shop.host().await);
            assert_eq!(squeezed(&said), squeezed(&answer), "{commands}\n{said}");
        }
        said
    }

    /// Starts the next block, which is one command.
    pub(crate) fn start(&mut self) -> Process {
        let block = self.next("sh");
        assert_eq!(block.text.lines().count(), 1, "{}", block.text);
        let command = self.shop.console().own(&self.here(&block.text));
        let answer = block.answer.map(|answer| squeezed(&self.here(&answer)));
        Process::new(self.shop.start(&format!("exec {command}")), answer)
    }

    /// Puts the next block into the configuration.
    pub(crate) fn configure(&mut self) {
        let block = self.next("toml");
        self.shop.configure(&self.here(&block.text));
    }

    /// Starts the next block as cron does.
    pub(crate) fn cron(&mut self) -> Process {
        let block = self.next("crontab");
        self.as_cron(&block)
    }

    /// Starts the block that was started last once more, as cron does.
    pub(crate) fn cron_again(&self) -> Process {
        self.as_cron(self.last.as_ref().unwrap())
    }

    fn as_cron(&self, block: &Block) -> Process {
        let line = self.here(&block.text);
        let fields: Vec<_> = line.splitn(6, ' ').collect();
        let [times @ .., command] = &fields[..] else { panic!("{line}") };
        assert_eq!(times, ["*"; 5], "{line}");
        // Cron makes a line's end of it.
        assert!(!command.contains('%'), "{command}");
        Process::new(self.shop.start_as_cron(command), None)
    }

    /// Ends the section's test.
    pub(crate) fn end(self) {
        if let Some(left) = self.blocks.front() {
            panic!("`{}` of `{}` is not run by its test", left.text, self.heading);
        }
    }

    fn next(&mut self, language: &str) -> Block {
        let block = self.blocks.pop_front();
        let block = block.unwrap_or_else(|| panic!("`{}` has no more commands", self.heading));
        assert_eq!(block.language, language, "{}", block.text);
        self.last = Some(block.clone());
        block
    }

    /// Text of the page with what its examples are here.
    fn here(&self, text: &str) -> String {
        // In two steps, so that what was put in is not replaced in its turn.
        let mark = |at: usize| format!("\0{at}\0");
        let marked = self.meanings.iter().enumerate();
        let marked =
            marked.fold(text.to_owned(), |text, (at, (example, _))| text.replace(example, &mark(at)));
        let meanings = self.meanings.iter().enumerate();
        meanings.fold(marked, |text, (at, (_, here))| text.replace(&mark(at), here))
    }
}
