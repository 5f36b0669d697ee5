//! Asking a module for a factory.

use std::mem::{MaybeUninit, size_of};

use sidegate_abi::{CreateArgs, CreateResult, NOT_FOUND, OK, PANICKED, Slice};
use sidegate_watch::{Hook, enter};

use crate::error_out::{ErrorBuffers, Said};
use crate::factory::{FactoryParts, Foreign};
use crate::host;
use crate::loaded::LoadedModule;
use crate::refusal::Reason;
use crate::tables;

/// Asks `module` for a factory of `filter` with `config`. Module code: on the
/// module-control thread only.
pub(crate) fn create(
    module: &LoadedModule,
    filter: &str,
    config: &str,
    workers: usize,
    plugins: &[String],
) -> Result<FactoryParts, Reason> {
    let mut buffers = ErrorBuffers::new();
    let mut error = buffers.lend();
    let plugins: Vec<Slice> = plugins.iter().map(|name| Slice::from_bytes(name.as_bytes())).collect();
    let args = CreateArgs {
        size: size_of::<CreateArgs>() as u64,
        host: host::table(),
        module: module.identity.as_abi(),
        filter_name: Slice::from_bytes(filter.as_bytes()),
        config: Slice::from_bytes(config.as_bytes()),
        error: &mut error,
        workers: u32::try_from(workers).unwrap_or(u32::MAX),
        unused: 0,
        plugins: plugins.as_ptr(),
        plugins_len: plugins.len() as u64,
    };
    // SAFETY: null pointers, no functions and zero numbers are all valid.
    let mut result = unsafe { MaybeUninit::<CreateResult>::zeroed().assume_init() };
    result.size = size_of::<CreateResult>() as u64;
    let inside = module.inside();
    let mark = enter(module.place(filter), Hook::CreateFactory);
    // SAFETY: the module's entry; what is lent outlives the call.
    let answer = unsafe { (module.create)(&args, &mut result) };
    drop((mark, inside));
    if answer != OK {
        return Err(refused(filter, answer, buffers.take(&error)));
    }
    let object = Foreign::new(result.factory);
    // SAFETY: tables of the module by the ABI, valid while it is loaded.
    let table = unsafe { tables::read_factory_table(result.factory_table) }?;
    // SAFETY: as above.
    let filters = unsafe { tables::read_filter_table(result.filter_table, &result.interests) };
    let usable = filters.and_then(|filters| {
        let interests = tables::interests(&result.interests)?;
        match tables::wants_nothing(&result.interests) {
            true => Err(Reason::NoInterest { filter: filter.to_owned() }),
            false => Ok((filters, interests)),
        }
    });
    match usable {
        Ok((filters, interests)) => Ok(FactoryParts { object, table, filters, interests }),
        Err(reason) => {
            if let Some(destroy) = table.destroy {
                let _mark = enter(module.place(filter), Hook::DestroyFactory);
                let _inside = module.inside();
                // SAFETY: the factory was made and nothing came of it.
                unsafe { destroy(object.get()) };
            }
            Err(reason)
        }
    }
}

fn refused(filter: &str, answer: u32, said: Said) -> Reason {
    let Said { mut message, path } = said;
    let filter = filter.to_owned();
    if message.is_empty() && !matches!(answer, NOT_FOUND | PANICKED | sidegate_abi::FAILED) {
        message = format!("it answered {answer}");
    }
    if answer == NOT_FOUND {
        return Reason::FilterNotFound { filter, message };
    }
    if answer == PANICKED {
        return Reason::FactoryPanicked { filter, message };
    }
    Reason::FactoryRefused { filter, path, message }
}
